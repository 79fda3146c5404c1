"""Early exit: computing only as many layers as a text needs.

`recipe` says where exits stand and how they are trained (`training`, `loss`); `policy` says when an answer is sure
enough; `threshold` chooses how sure on validation, and states the risk; `saving` counts what was not computed.
"""
