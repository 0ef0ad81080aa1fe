"""What the project is about: frames in, frames out; values in, values out."""
