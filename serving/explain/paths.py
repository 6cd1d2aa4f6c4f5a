"""Ways through edges: how far nodes are from one, and the shortest way between two. Nodes are texts here and numbers inside."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, dijkstra


class Ways:
    """The graph of pairs (a, b), in both directions. Equal pairs give equal answers, whatever their order."""

    def __init__(self, pairs: pa.Table) -> None:
        self.names = pc.unique(pa.chunked_array([*pairs["a"].chunks, *pairs["b"].chunks], pa.string())).sort()
        self.left, self.right = (pc.index_in(pairs[end], value_set=self.names).to_numpy().astype(np.int64) for end in ("a", "b"))
        size = len(self.names)
        pair = np.unique(np.r_[self.left * size + self.right, self.right * size + self.left])
        ones = np.ones(len(pair), np.int8)
        self._matrix = csr_matrix((ones, (pair // max(size, 1), pair % max(size, 1))), shape=(size, size))

    def distances(self, start: str) -> np.ndarray:
        """Edges from a node to each of ``names``; infinite where no way leads."""
        return dijkstra(self._matrix, indices=self._number(start), unweighted=True)

    def shortest(self, start: str, goal: str) -> list[str] | None:
        """Nodes from one to the other; None when nothing connects them."""
        first, last = self._number(start), self._number(goal)
        if first < 0 or last < 0:
            return None
        _, before = breadth_first_order(self._matrix, first, return_predecessors=True)
        way = [last]
        while way[-1] != first:
            if before[way[-1]] < 0:
                return None
            way.append(int(before[way[-1]]))
        return self.names.take(pa.array(way[::-1])).to_pylist()

    def linked(self) -> np.ndarray:
        """How many others each of ``names`` is linked to."""
        loops = np.bincount(self.left[self.left == self.right], minlength=len(self.names)) > 0
        return np.diff(self._matrix.indptr) - loops

    def next_to(self, number: int) -> np.ndarray:
        """The others that one of ``names`` is linked to, by number."""
        found = self._matrix.indices[self._matrix.indptr[number] : self._matrix.indptr[number + 1]]
        return found[found != number]

    def _number(self, name: str) -> int:
        return pc.index(self.names, name).as_py()
