"""Ways through edges: how far nodes are from one, and the shortest way between two. Nodes are texts here and numbers inside."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, dijkstra


class Ways:
    """The graph of pairs (a, b), in both directions. Equal pairs give equal answers, whatever their order."""

    def __init__(self, pairs: pa.Table) -> None:
        ends = pa.chunked_array([*pairs["a"].chunks, *pairs["b"].chunks], pa.string()).combine_chunks()
        coded = ends.dictionary_encode()
        order = pc.array_sort_indices(coded.dictionary).to_numpy()
        rank = np.empty(len(order), np.int32)
        rank[order] = np.arange(len(order), dtype=np.int32)
        self.names = coded.dictionary.take(pa.array(order))
        self.left, self.right = np.split(rank[coded.indices.to_numpy()], 2)
        both = np.r_[self.left, self.right], np.r_[self.right, self.left]
        self._matrix = coo_matrix((np.ones(2 * len(self.left), np.int32), both), shape=(len(order), len(order))).tocsr()

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
