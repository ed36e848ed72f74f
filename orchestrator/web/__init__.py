"""The pages people read: rendered on the server, without a build step and without anything from outside."""
