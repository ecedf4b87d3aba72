"""What is known of languages: scripts, sentences, little words, and questions about a book as a whole."""
