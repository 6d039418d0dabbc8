"""Published and own protocols on UCI tables: what is run, how it is summed up and shown."""
