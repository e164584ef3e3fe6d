"""One function a capability: a request in, a result out."""
