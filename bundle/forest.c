/* Scores rows by a forest: the arrays of `bundle/compiled.py`, which checked them, in the same order.

   Two ways down a tree. One descends sixteen cursors at a time without a branch: a node's two children
   lie side by side, so a step is "offset + (value > threshold)", and a leaf steps onto itself. The
   other, for trees of up to 32 leaves and many rows, descends nowhere: each cut that sends a row to
   the right takes the leaves on its left out of a bit mask, four rows to a vector, and the first leaf
   that remains is the row's (Lucchese et al., "QuickScorer", SIGIR 2015). */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

enum { BLOCK = 64, LANES = 4, VECTORS = 4, CURSORS = 16, FEW = 8 };
enum { IDENTITY, COMPLEMENT, LOGISTIC, SOFTMAX };

/* A feature is 2 * column, +1 where a missing value goes left: each row has its values twice, with
   +inf and with -inf for what is missing, and so no cut looks for NaN. */
typedef struct { float threshold; uint16_t feature, offset; } Node;
typedef struct { float threshold; uint32_t feature, others; } Cut;
/* `node`, `cut`, `value` and `leaf` are places of the tree's first; cuts < 0: too many leaves to mask */
typedef struct { int64_t value, leaf; int32_t node, cut, cuts, slot, width, unused; } Tree;
typedef struct { double weight; int32_t link, slot, slots; } Member;

typedef struct {
    const Node *nodes;   /* of a tree: its root first, then level by level */
    const float *values; /* of each node, `width` of its tree: one for each slot from `slot` on */
    const Cut *cuts;
    const float *leaves; /* of the trees that have cuts, from left to right */
    const Tree *trees;
    const Member *members;
    const double *base; /* of each slot */
    const int32_t *derived; /* the columns that are looked up, */
    const int32_t *table_start; /* and where in `tables` the values of its codes are */
    const float *tables;
    double mean, spread;
    int32_t tree_count, member_count, slot_count, columns, derived_count, outputs, wide, logarithm;
} Forest;

typedef float Floats __attribute__((vector_size(4 * LANES), may_alias));
typedef uint32_t Masks __attribute__((vector_size(4 * LANES), may_alias));

#define INLINE static inline __attribute__((always_inline))

/* x[feature * stride + row]; rows behind `count` are zeros */
INLINE void spread_rows(const float *rows, int columns, int count, int stride, float *x) {
    for (int column = 0; column < columns; column++)
        for (int row = 0; row < stride; row++) {
            float value = row < count ? rows[(ptrdiff_t)row * columns + column] : 0;
            x[2 * column * stride + row] = isnan(value) ? INFINITY : value;
            x[(2 * column + 1) * stride + row] = isnan(value) ? -INFINITY : value;
        }
}

/* The derived features, behind the columns. A code that no encoder gives takes the last place: it must not read astray. */
INLINE void look_up(const Forest *forest, const float *rows, int count, int stride, float *x) {
    x += (ptrdiff_t)2 * forest->columns * stride;
    for (int i = 0; i < forest->derived_count; i++, x += 2 * stride) {
        const float *table = forest->tables + forest->table_start[i];
        float last = (float)(forest->table_start[i + 1] - forest->table_start[i] - 1);
        for (int row = 0; row < stride; row++) {
            float code = row < count ? rows[(ptrdiff_t)row * forest->columns + forest->derived[i]] : 0;
            x[row] = x[stride + row] = table[(int)(code >= 0 && code <= last ? code : last)];
        }
    }
}

INLINE void descend(const Node *nodes, uint32_t place[CURSORS], const float *x, int stride, int step) {
    uint32_t moved;
    do {
        for (int k = 0; k < CURSORS; k++) {
            Node node = nodes[place[k]];
            place[k] += node.offset + !(x[node.feature * stride + k * step] <= node.threshold);
        }
        moved = 0; /* asking at each second level only */
        for (int k = 0; k < CURSORS; k++) {
            Node node = nodes[place[k]];
            uint32_t by = node.offset + !(x[node.feature * stride + k * step] <= node.threshold);
            place[k] += by;
            moved |= by;
        }
    } while (moved);
}

INLINE void add(double *sums, const Tree *tree, const float *values, int stride) {
    for (int j = 0; j < tree->width; j++) sums[(ptrdiff_t)(tree->slot + j) * stride] += values[j];
}

static void one_row(const Forest *forest, const float *x, double *sums) {
    for (int first = 0; first < forest->tree_count; first += CURSORS) {
        const Tree *trees = forest->trees + first;
        int count = forest->tree_count - first < CURSORS ? forest->tree_count - first : CURSORS;
        uint32_t place[CURSORS];
        for (int k = 0; k < CURSORS; k++) place[k] = trees[k < count ? k : 0].node;
        descend(forest->nodes, place, x, 1, 0);
        for (int k = 0; k < count; k++) {
            ptrdiff_t node = place[k] - trees[k].node;
            add(sums, trees + k, forest->values + trees[k].value + node * trees[k].width, 1);
        }
    }
}

static void block_descends(const Forest *forest, const Tree *tree, const float *x, int count, double *sums) {
    const float *values = forest->values + tree->value;
    for (int first = 0; first < count; first += CURSORS) {
        uint32_t place[CURSORS] = {0};
        descend(forest->nodes + tree->node, place, x + first, BLOCK, 1);
        for (int k = 0; k < CURSORS; k++) add(sums + first + k, tree, values + (ptrdiff_t)place[k] * tree->width, BLOCK);
    }
}

static void block_masks(const Forest *forest, const Tree *tree, const float *x, int count, double *sums) {
    const Cut *cuts = forest->cuts + tree->cut;
    const float *leaves = forest->leaves + tree->leaf;
    for (int first = 0; first < count; first += LANES * VECTORS) {
        Masks left[VECTORS];
        for (int v = 0; v < VECTORS; v++) left[v] = ~(Masks){0};
        for (int i = 0; i < tree->cuts; i++) {
            float t = cuts[i].threshold;
            uint32_t others = cuts[i].others;
            const Floats *values = (const Floats *)(x + cuts[i].feature * BLOCK + first);
            for (int v = 0; v < VECTORS; v++)
                left[v] &= (Masks)(values[v] <= (Floats){t, t, t, t}) | (Masks){others, others, others, others};
        }
        for (int v = 0; v < VECTORS; v++)
            for (int k = 0; k < LANES; k++) {
                ptrdiff_t leaf = __builtin_ctz(left[v][k]); /* the last leaf is never taken out */
                add(sums + first + v * LANES + k, tree, leaves + leaf * tree->width, BLOCK);
            }
    }
}

static void answer(const Forest *forest, const double *sums, int stride, double *total, void *out, ptrdiff_t row) {
    for (int c = 0; c < forest->outputs; c++) total[c] = 0;
    for (int m = 0; m < forest->member_count; m++) {
        const Member *member = forest->members + m;
        const double *s = sums + (ptrdiff_t)member->slot * stride;
        if (member->link == IDENTITY)
            for (int c = 0; c < member->slots; c++) total[c] += member->weight * s[c * stride];
        else if (member->link == SOFTMAX) {
            double top = s[0], sum = 0;
            for (int c = 1; c < member->slots; c++) top = s[c * stride] > top ? s[c * stride] : top;
            for (int c = 0; c < member->slots; c++) sum += exp(s[c * stride] - top);
            for (int c = 0; c < member->slots; c++) total[c] += member->weight * exp(s[c * stride] - top) / sum;
        } else {
            double p = member->link == LOGISTIC ? 1 / (1 + exp(-s[0])) : s[0];
            total[0] += member->weight * (1 - p);
            total[1] += member->weight * p;
        }
    }
    for (int c = 0; c < forest->outputs; c++) {
        double value = total[c] * forest->spread + forest->mean;
        if (forest->logarithm) value = exp(value);
        if (forest->wide)
            ((double *)out)[row * forest->outputs + c] = value;
        else
            ((float *)out)[row * forest->outputs + c] = (float)value;
    }
}

/* rows: (count, columns) → out: (count, outputs) of float, or double if wide. 0, or -1 without memory. */
int homeport_score(const Forest *forest, const float *rows, ptrdiff_t count, void *out) {
    int stride = count < FEW ? 1 : BLOCK;
    size_t floats = (size_t)2 * (forest->columns + forest->derived_count) * stride, doubles = (size_t)forest->slot_count * stride;
    double *sums = malloc((doubles + forest->outputs) * sizeof(double) + floats * sizeof(float) + 16);
    if (!sums) return -1;
    double *total = sums + doubles;
    float *x = (float *)(((uintptr_t)(total + forest->outputs) + 15) & ~(uintptr_t)15); /* as vectors want it */
    for (ptrdiff_t first = 0; first < count; first += stride) {
        int here = count - first < stride ? (int)(count - first) : stride;
        const float *block = rows + first * forest->columns;
        for (int slot = 0; slot < forest->slot_count; slot++)
            for (int row = 0; row < stride; row++) sums[(ptrdiff_t)slot * stride + row] = forest->base[slot];
        if (stride == 1) {
            spread_rows(block, forest->columns, 1, 1, x);
            look_up(forest, block, 1, 1, x);
            one_row(forest, x, sums);
        } else {
            spread_rows(block, forest->columns, here, BLOCK, x);
            look_up(forest, block, here, BLOCK, x);
            for (const Tree *tree = forest->trees; tree < forest->trees + forest->tree_count; tree++)
                (tree->cuts < 0 ? block_descends : block_masks)(forest, tree, x, here, sums);
        }
        for (int row = 0; row < here; row++) answer(forest, sums + row, stride, total, out, first + row);
    }
    free(sums);
    return 0;
}

/* The digest of this file as it was compiled: what is loaded must be what is here. */
const char *homeport_source(void) { return SOURCE; }
