"""What Explore shows, computed from records: views, conversations, parts of a checkpoint. No Textual in here."""
