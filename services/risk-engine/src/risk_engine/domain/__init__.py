"""The rules of the house, pure: what is promised, what is left to do, what teams can deliver, what follows."""
