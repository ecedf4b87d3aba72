"""What several processes of the application share through Redis, each part with this process' memory behind it."""
