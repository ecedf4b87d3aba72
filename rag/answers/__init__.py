"""From passages to a cited answer: the stages of a chat, and what it remembers and may spend."""
