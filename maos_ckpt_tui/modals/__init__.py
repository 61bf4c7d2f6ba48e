"""Dialogs above a screen; `escape` always leaves without doing anything."""
