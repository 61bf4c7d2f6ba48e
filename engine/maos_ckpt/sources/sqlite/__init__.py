"""SQLite files: consistent private images, exact values, and writing back into a live database."""
