"""Building blocks that operators share; no module here is an operator.

The contract
    `node` and `graph` (tensors, nodes and graphs as data), `operator` (base class and registry),
    `evaluate` (graphs by numpy references), `runtime_call`, `control_call` and `movement` (results
    that are not tensor expressions), `block` (several results in one), `primfunc_attributes`.
Base classes of operators
    `element_operator` (base of `unary_operator` and `binary_operator`), `sigmoid_operator`,
    `reduction_operator`, `extremum_index_operator`, `moving_operator`, `selecting_operator`,
    `block_operator`, `reshaping_operator`, `constant_operator`, `control_operator` (for nodes that
    run a `subprogram`).
Checks of nodes
    `checks` (tensors, dtypes, scales, shapes), `constant_inputs` (axes, sizes, paddings).
Convolutions and dense layers
    `sliding_window` (geometry and padding, also for pooling), `weights` (checks and biases),
    `int16_sums`, `output_rounding` (each oracle's rounding), `epilogue` (bias, requantization and
    clamping), `pooling`.
Tensor expressions
    `expressions` (single elements), `reduction` (the reducing stage), `movement_tir` (copies).
Arithmetic on the host
    `quantization` (multipliers, requantization, activation ranges), `affine` (one integer line in
    place of several roundings), `fixed_point_q31`, `fixed_point_q15`, `lookup_tables`.
Operators that move elements
    `gathering`, `joining`, `splitting`, `padding`, `space_to_batch`, `resizing`.
"""
