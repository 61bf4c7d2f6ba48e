"""What a crashed MAOS leaves behind, and the changes that mend it."""
