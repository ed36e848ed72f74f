"""What several recipes are made of; a change here makes the variants of those recipes unbuilt, as a change in them does."""
