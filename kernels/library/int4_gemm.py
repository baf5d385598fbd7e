"""Matrix product with weights of four bits, unpacked in the kernel."""
import torch

import helion
import helion.language as hl


@helion.kernel()
def int4_gemm(x: torch.Tensor, packed: torch.Tensor) -> torch.Tensor:
    """x @ w. A byte of packed [k / 2, n] holds two signed weights of a column: row 2 i in its low half,
    row 2 i + 1 in its high half."""
    m, k = x.size()
    half_k, n = packed.size()
    assert k == 2 * half_k, f"size mismatch {k} != 2 * {half_k}"
    out = torch.empty([m, n], dtype=x.dtype, device=x.device)
    block_k = hl.register_block_size(half_k)
    for tile_m, tile_n in hl.tile([m, n]):
        acc = hl.zeros([tile_m, tile_n], dtype=torch.float32)
        for tile_k in hl.tile(half_k, block_size=block_k):
            both = packed[tile_k, tile_n]
            low = (both << 4) >> 4  # keeps the sign
            high = both >> 4
            pairs = torch.stack([low, high], dim=1)  # [tile_k, 2, tile_n]
            w = pairs.reshape(block_k * 2, tile_n.block_size).to(x.dtype)
            begin = tile_k.begin * 2
            acc = hl.dot(x[tile_m, begin : begin + block_k * 2], w, acc=acc)
        out[tile_m, tile_n] = acc.to(x.dtype)
    return out
