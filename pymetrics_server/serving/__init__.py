"""The listener: its certificate, whom it asks for one, and how both change without a connection dropped."""
