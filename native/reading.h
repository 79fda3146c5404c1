// Reading a plan: from the words that Python sends, and the mapped file they point into, to checked steps.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "plan.h"

namespace millis {

struct Refused : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// A plan that owns its lists. Tensors stay in the file, which outlives it.
struct Reading {
    std::vector<Shape> shapes;
    std::vector<Output> outputs;
    std::vector<Step> steps;
    std::vector<std::vector<int32_t>> sums;   // of matrices of integers
    std::vector<std::vector<float>> offsets;  // of matrices of 4 bits
    int64_t vocabulary = 0;   // ids that every table has a row for
    int64_t positions = 0;    // rows of the shortest position table, 0 without one
    int64_t padding = -1;     // id from which positions count, or -1
    int64_t kinds = 0;        // token types that are read, 0 where none are
    bool keeps_first = false; // a text without tokens keeps its first column, which is read
    int64_t taken = 0;        // width of the states that a request must bring, 0 where none
    int64_t head_size = 0, hidden = 0;  // the largest, for scratch
    int64_t rounded_bytes = 1;  // of each number that products read: bytes, or bf16
    int64_t looking = 0;      // steps that look back
    int64_t apart = 0;        // the step after the last of them
    const float* frequencies = nullptr;  // radians a place turns each pair of numbers by, [turned / 2]; none: no turns
    int64_t turned = 0;
    bool writes = false;      // tokens depend on those before them alone, and have a row of one output each
};

// Throws Refused, which names what is wrong, where a number or a tensor does not fit.
Reading read_plan(const uint8_t* data, int64_t size, const int64_t* words, int64_t count);

}  // namespace millis
