"""The content folder: files, front matter, published URLs and slugs of every site generator."""
