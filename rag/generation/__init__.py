"""Answers: the seam (base), the OpenAI part that streams a chat model, and the extractive part that quotes the book."""
