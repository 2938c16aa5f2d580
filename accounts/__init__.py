"""What requests were, in figures: tokens, money, time; where they are kept, added up and read."""
