"""The commands that Android's framework answers, by topic; every other command runs in the phone's real shell."""
