"""What a genre, a spelling and a tag value are: values and rules, standard library only."""
