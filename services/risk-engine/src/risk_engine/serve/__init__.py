"""How the API answers: who may ask, what they may see, and in which form."""
