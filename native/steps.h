// The steps of a forward pass, one after the other, over a group of texts.
// Included once for each instruction set, inside its namespace.

static void embed(const Step& step, Workspace& work) {
    Slot& out = work.slots[step.out];
    const int64_t width = step.width;
    in_parts(work, work.in_tokens, [&](int64_t begin, int64_t end, int64_t) {
        for (int64_t token = begin; token < end; ++token) {
            float* row = out.values + token * out.stride;
            if (step.in >= 0)
                copy(row, work.slots[step.in].values + token * work.slots[step.in].stride, width);
            else
                clear(row, width);
            if (step.words.rows > 0) add_table_row(row, step.words, work.ids[token], 1.0f);
            if (step.matrix.outputs > 0) add_matrix_row(row, step.matrix, work.ids[token]);
            if (step.positions.rows > 0) add_table_row(row, step.positions, work.places[token], 1.0f);
            if (step.types.rows > 0) add_table_row(row, step.types, step.reads_types ? work.kinds[token] : 0, 1.0f);
            if (step.norm.gain != nullptr) norm_row(row, width, step.norm);
            if (step.rounds) round_slot_row(out, token, width);
        }
    });
    out.rounded = step.rounds;
}

static void linear(const Model& model, const Step& step, Workspace& work) {
    Slot &in = work.slots[step.in], &out = work.slots[step.out];
    const Matrix& matrix = step.matrix;
    const int64_t rows = rows_of(model, work, step.in);
    float* results = out.values + step.column;
    const bool integers = matrix.is_of_integers(), halves = matrix.halves != nullptr;
    if (integers && !in.rounded)
        for (int64_t row = 0; row < rows; ++row) round_slot_row(in, row, matrix.inputs);
    if (halves && !in.rounded)
        for (int64_t row = 0; row < rows; ++row)
            halve_row(in.values + row * in.stride, matrix.inputs, half_row(in, row));
    in.rounded = in.rounded || integers || halves;
    in_parts(work, matrix.panels, [&](int64_t first, int64_t last, int64_t) {
        if (integers)
            multiply_integers(in.bytes, in.byte_stride, in.steps, in.zeros, rows, matrix, results, out.stride, first,
                              last);
        else if (halves)
            model.multiply_halves(half_row(in, 0), in.byte_stride / 2, rows, matrix, results, out.stride, first, last);
        else
            multiply_floats(in.values, in.stride, rows, matrix, results, out.stride, first, last);
    });
    out.rounded = step.rounds;
    if (step.choice == NONE && !step.rounds) return;
    in_parts(work, rows, [&](int64_t begin, int64_t end, int64_t) {
        for (int64_t row = begin; row < end; ++row) {
            float* values = results + row * out.stride;
            const Extent found = activate(values, matrix.outputs, step.choice);
            if (step.rounds)
                round_within(found, values, matrix.outputs, out.bytes + row * out.byte_stride, out.steps + row,
                             out.zeros + row);
        }
    });
}

static void attention(const Step& step, Workspace& work) {
    Slot& out = work.slots[step.out];
    // A head of odd size writes into the next one's columns before that does, which only one thread can keep in order.
    const bool apart = work.crew != nullptr && step.choice == 0 && step.width % PANEL == 0;
    for (int64_t at = 0; at < work.in_group; ++at) {
        const Text& text = work.group[at];
        float* received = step.choice == 0 ? nullptr : work.received + text.start;
        if (received != nullptr) clear(received, text.count);
        const auto heads = [&](int64_t first, int64_t last, int64_t who) {
            attend(step, work.slots[step.in], out, text, work.scratch + who * work.scratch_size, received, first, last);
        };
        if (apart)
            in_parts(work, step.count, heads);
        else
            heads(0, step.count, 0);
        if (step.rounds)
            in_parts(work, text.count, [&](int64_t begin, int64_t end, int64_t) {
                for (int64_t row = begin; row < end; ++row)
                    round_slot_row(out, text.start + row, step.width * step.count);
            });
    }
    out.rounded = step.rounds;
}

// out = norm(in + second + bias), each of them where there is one.
static void add_and_norm(const Model& model, const Step& step, Workspace& work) {
    Slot& out = work.slots[step.out];
    const int64_t width = step.width;
    in_parts(work, rows_of(model, work, step.out), [&](int64_t begin, int64_t end, int64_t) {
        for (int64_t row = begin; row < end; ++row) {
            float* values = out.values + row * out.stride;
            const float* residual = work.slots[step.second].values + row * work.slots[step.second].stride;
            const float* more = step.in < 0 ? step.bias : work.slots[step.in].values + row * work.slots[step.in].stride;
            for (int64_t at = 0; at < width; at += WIDTH) store(values + at, add(load(residual + at), load(more + at)));
            if (step.norm.gain != nullptr) norm_row(values, width, step.norm);
            if (step.rounds) round_slot_row(out, row, width);
        }
    });
    out.rounded = step.rounds;
}

static void pool(const Step& step, Workspace& work) {
    const Slot& in = work.slots[step.in];
    Slot& out = work.slots[step.out];
    for (int64_t at = 0; at < work.in_group; ++at) {
        const Text& text = work.group[at];
        float* row = out.values + at * out.stride;
        const float* states = in.values + text.start * in.stride;
        if (step.choice == FIRST) {
            copy(row, states, step.width);
            continue;
        }
        for (int64_t place = 0; place < step.width; place += WIDTH) {
            Floats x = step.choice == MAXIMUM ? splat(step.number) : splat(0.0f);
            for (int64_t token = 0; token < text.count; ++token) {
                const Floats state = load(states + token * in.stride + place);
                x = step.choice == MAXIMUM ? max(x, state) : add(x, state);
            }
            if (step.choice == MEAN && text.count > 1) x = div(x, splat(static_cast<float>(text.count)));
            store(row + place, x);
        }
    }
    out.rounded = false;
}

// Each token's window of rows side by side, zeros beyond the text's ends.
static void unfold(const Step& step, Workspace& work) {
    const Slot& in = work.slots[step.in];
    Slot& out = work.slots[step.out];
    for (int64_t at = 0; at < work.in_group; ++at) {
        const Text& text = work.group[at];
        for (int64_t token = 0; token < text.count; ++token)
            for (int64_t place = 0; place < step.count; ++place) {
                const int64_t from = token + place - step.count / 2;
                float* to = out.values + (text.start + token) * out.stride + place * step.width;
                if (from < 0 || from >= text.count)
                    clear(to, step.width);
                else
                    copy(to, in.values + (text.start + from) * in.stride, step.width);
            }
    }
    out.rounded = false;
}

// One direction of an LSTM over gates [i, f, g, o] that hold the inputs' part; the state's part is a product a token.
static void lstm(const Model& model, const Step& step, Workspace& work) {
    const Slot& in = work.slots[step.in];
    Slot& out = work.slots[step.out];
    const int64_t size = step.count, room = padded(size, PANEL), gates_room = padded(4 * size, PANEL) + PANEL;
    float* state = work.scratch;
    float* cell = state + room;
    float* gates = cell + room;
    uint8_t* bytes = reinterpret_cast<uint8_t*>(gates + gates_room);
    for (int64_t at = 0; at < work.in_group; ++at) {
        const Text& text = work.group[at];
        clear(state, room);
        clear(cell, room);
        for (int64_t turn = 0; turn < text.count; ++turn) {
            const int64_t token = text.start + (step.choice != 0 ? text.count - 1 - turn : turn);
            if (step.matrix.halves != nullptr) {
                uint16_t* row = reinterpret_cast<uint16_t*>(bytes);
                halve_row(state, size, row);
                model.multiply_halves(row, room, 1, step.matrix, gates, gates_room, 0, step.matrix.panels);
            } else if (step.matrix.floats == nullptr) {
                float scale;
                int32_t zero;
                round_row(state, size, bytes, &scale, &zero);
                multiply_integers(bytes, room, &scale, &zero, 1, step.matrix, gates, gates_room, 0, step.matrix.panels);
            } else {
                multiply_floats(state, room, 1, step.matrix, gates, gates_room, 0, step.matrix.panels);
            }
            const float* given = in.values + token * in.stride;
            for (int64_t place = 0; place < size; place += WIDTH) {
                Floats gate[4];
                for (int64_t which = 0; which < 4; ++which)
                    gate[which] = add(load(gates + which * size + place), load(given + which * size + place));
                const Floats kept = mul(sigmoid(gate[1]), load(cell + place));
                const Floats now = fma(sigmoid(gate[0]), hyperbolic_tangent(gate[2]), kept);
                store(cell + place, now);
                store(state + place, mul(sigmoid(gate[3]), hyperbolic_tangent(now)));
            }
            float* to = out.values + token * out.stride + step.column;
            copy(to, state, size);
        }
    }
    out.rounded = false;
}

// A weighted sum of table rows a text, over the sum of the weights (choice 0) or its length (choice 1).
static void bag(const Step& step, Workspace& work) {
    Slot& out = work.slots[step.out];
    for (int64_t at = 0; at < work.in_group; ++at) {
        const Text& text = work.group[at];
        float* row = out.values + at * out.stride;
        float total = 0.0f;
        clear(row, step.width);
        for (int64_t token = text.start; token < text.start + text.count; ++token) {
            const float weight = step.bias[work.ids[token]];
            add_table_row(row, step.words, work.ids[token], weight);
            total += step.choice == 0 ? weight : weight * weight;
        }
        if (step.choice != 0) total = __builtin_sqrtf(total);
        const Floats share = splat(1.0f / (total > 1e-6f ? total : 1e-6f));
        for (int64_t place = 0; place < step.width; place += WIDTH)
            store(row + place, mul(load(row + place), share));
    }
    out.rounded = false;
}

// The states that a request brings.
static void take(const Step& step, Workspace& work) {
    Slot& out = work.slots[step.out];
    for (int64_t at = 0; at < work.in_group; ++at) {
        const Text& text = work.group[at];
        const float* states = work.states + text.row * work.length * step.width;
        for (int64_t token = text.start; token < text.start + text.count; ++token)
            __builtin_memcpy(out.values + token * out.stride, states + work.columns[token] * step.width,
                             4 * step.width);
    }
    out.rounded = false;
}

// Tokens that receive less than `number` of attention, on average over `count` heads and the text's tokens, are no rows
// any more; a text's first one stays.
static void drop(const Step& step, Workspace& work) {
    Slot& states = work.slots[step.out];
    int64_t kept = 0;
    for (int64_t at = 0; at < work.in_group; ++at) {
        Text& text = work.group[at];
        const float least_sum = step.number * static_cast<float>(step.count * text.count);
        const int64_t start = kept;
        for (int64_t token = text.start; token < text.start + text.count; ++token) {
            if (token > text.start && !(work.received[token] >= least_sum)) continue;
            if (kept != token)
                copy(states.values + kept * states.stride, states.values + token * states.stride, step.width);
            work.columns[kept++] = work.columns[token];
        }
        text.start = start;
        text.count = kept - start;
    }
    work.in_tokens = kept;
    states.rounded = false;
}

static void give(const Model& model, const Step& step, Workspace& work) {
    const Slot& in = work.slots[step.in];
    float* result = work.results[step.count];
    for (int64_t at = 0; at < work.in_group; ++at) {
        const Text& text = work.group[at];
        if (model.outputs[step.count].per_text) {
            __builtin_memcpy(result + text.row * step.width, in.values + at * in.stride, 4 * step.width);
            continue;
        }
        float* rows = result + text.row * work.length * step.width;
        for (int64_t token = 0; token < text.count; ++token)
            __builtin_memcpy(rows + work.columns[text.start + token] * step.width,
                             in.values + (text.start + token) * in.stride, 4 * step.width);
    }
}

static inline void do_step(const Model& model, const Step& step, Workspace& work) {
    switch (step.kind) {
        case EMBED: return embed(step, work);
        case LINEAR: return linear(model, step, work);
        case ATTENTION: return attention(step, work);
        case NORM: return add_and_norm(model, step, work);
        case POOL: return pool(step, work);
        case UNFOLD: return unfold(step, work);
        case LSTM: return lstm(model, step, work);
        case BAG: return bag(step, work);
        case TAKE: return take(step, work);
        case DROP: return drop(step, work);
        case CARRY: return carry(model, step, work);
        case GATE: return gate(model, step, work);
        case CAUSAL: return look_back(step, work);
        default: return give(model, step, work);
    }
}

static inline int64_t now() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * int64_t{1000000000} + time.tv_nsec;
}

static void run(const Model& model, Workspace& work) {
    for (int64_t at = 0; at < model.step_count; ++at) {
        if (at == model.apart && work.wanted == NOTHING) return;
        if (at == model.apart && work.wanted == LAST) narrow(model, work);
        const int64_t start = work.times == nullptr ? 0 : now();
        do_step(model, model.steps[at], work);
        if (work.times != nullptr) work.times[at] += now() - start;
    }
}

static void activate_all(float* values, int64_t count, int64_t activation) { activate(values, count, activation); }

const Kernels KERNELS = {run, round_rows, multiply_integers, multiply_floats, multiply_halves, activate_all, round_head,
                         multiply_bytes};
