"""Token pruning: computing only with the tokens of a text that matter.

`recipe` says how many are to stay and where they may go; the model is `millis.models.token_pruning`, the training
`millis.training.token_pruning`.
"""
