// What products share: a tile is some rows times some panels, whose sums stay in registers.
// Included once for each instruction set, inside its namespace.

constexpr int PARTS = static_cast<int>(PANEL) / WIDTH;  // vectors of a panel

// Weights come from beyond the second cache, where a request's are, and hardware does not foresee that the next panels
// follow: the first block of rows asks for them, as far into them as it is into its own.
static inline void fetch(const void* line) { __builtin_prefetch(line, 0, 2); }

// Rows in blocks of nearly one size: 11 rows are 6 and 5, not 8 and 3, which would wait for their own sums.
template <int MOST, typename Tile>
static inline void in_blocks(int64_t rows, Tile tile) {
    const int64_t blocks = (rows + MOST - 1) / MOST;
    for (int64_t block = 0; block < blocks; ++block) {
        const int64_t begin = rows * block / blocks, end = rows * (block + 1) / blocks;
        tile(begin, static_cast<int>(end - begin));
    }
}
