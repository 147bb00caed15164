"""Parts that operators are made of; nothing in here is an operator.

The contract
    `node` and `graph` (tensors, nodes and graphs as data), `operator` (the class and its registry),
    `evaluate` (a graph by numpy references), `runtime_call`, `control_call` and `movement` (results
    that are no tensor expression), `block` (several results of one), `primfunc_attributes`.
Bases of operators
    `element_operator` (of `unary_operator` and `binary_operator`), `sigmoid_operator`,
    `reduction_operator`, `extremum_index_operator`, `moving_operator`, `selecting_operator`,
    `block_operator`, `reshaping_operator`, `constant_operator`, `control_operator` (of nodes that
    run a `subprogram`).
Checks of a node
    `checks` (tensors, dtypes, scales, shapes), `constant_inputs` (axes, sizes, paddings).
Convolutions and dense layers
    `sliding_window` (geometry and padding, of pooling too), `weights` (checks and biases),
    `int16_sums`, `output_rounding` (how each oracle rounds), `epilogue` (bias, requantization and
    clamping), `pooling`.
Tensor expressions
    `expressions` (one element), `reduction` (the reducing stage), `movement_tir` (copies).
Arithmetic on the host
    `quantization` (multipliers, requantization, activation ranges), `affine` (one integer line for
    several roundings), `fixed_point_q31`, `fixed_point_q15`, `lookup_tables`.
Operators that move elements
    `gathering`, `joining`, `splitting`, `padding`, `space_to_batch`, `resizing`.
"""
