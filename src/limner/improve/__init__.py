"""What is made better by measuring it: data sets made larger, filtered by what they are for."""
