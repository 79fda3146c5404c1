"""Customer service: what somebody wants, or an answer to a frequent question; else a person is asked to take over."""
