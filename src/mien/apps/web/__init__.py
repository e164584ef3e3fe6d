"""What the pages and the service share: settings, keys, forms, uploads, the models and their worker, the server."""
