"""One-nearest-neighbour classification."""
import torch

import helion
import helion.language as hl


@helion.kernel()
def nearest_label(queries: torch.Tensor, points: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Label of the point nearest to each query: distances by matmul, with a running argmin.

    |q - p|^2 is |p|^2 - 2 q.p plus a term that is equal for all points of one query.
    """
    m, k = queries.size()
    n, k2 = points.size()
    assert k == k2, f"size mismatch {k} != {k2}"
    out = torch.empty([m], dtype=labels.dtype, device=labels.device)
    for tile_m in hl.tile(m):
        best = hl.full([tile_m], float("inf"), dtype=torch.float32)
        best_index = hl.zeros([tile_m], dtype=torch.int64)
        q = queries[tile_m, :]
        for tile_n in hl.tile(n):
            p = points[tile_n, :]
            norms = torch.sum(p * p, dim=-1)
            distances = norms[None, :] - 2.0 * torch.matmul(q, p.T)
            smallest = torch.amin(distances, dim=-1)
            index = torch.argmin(distances, dim=-1) + tile_n.begin
            closer = smallest < best
            best_index = torch.where(closer, index, best_index)
            best = torch.minimum(best, smallest)
        out[tile_m] = labels[best_index]
    return out
