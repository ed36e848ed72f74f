"""What several recipes are made of; a change here makes their variants unbuilt, as a change of the recipe does."""
