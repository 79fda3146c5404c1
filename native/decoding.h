// What decoders have beside encoders: norms that precede, gates, and outputs of the last token alone.
// Included once for each instruction set, inside its namespace.

// second += in + bias, whichever of them there are; out = norm(second).
static void carry(const Model& model, const Step& step, Workspace& work) {
    Slot &stream = work.slots[step.second], &out = work.slots[step.out];
    in_parts(work, rows_of(model, work, step.out), [&](int64_t begin, int64_t end, int64_t) {
        for (int64_t row = begin; row < end; ++row) {
            float *sums = stream.values + row * stream.stride, *values = out.values + row * out.stride;
            if (step.in >= 0) add_row(sums, work.slots[step.in].values + row * work.slots[step.in].stride, step.width);
            if (step.bias != nullptr) add_row(sums, step.bias, step.width);
            copy(values, sums, step.width);
            norm_row(values, step.width, step.norm);
            if (step.rounds) round_slot_row(out, row, step.width);
        }
    });
    stream.rounded = false;
    out.rounded = step.rounds;
}

template <int KIND>
static inline Extent gate_row(const float* gates, const float* given, float* values, int64_t width) {
    Extent found = {splat(0.0f), splat(0.0f)};
    for (int64_t at = 0; at < width; at += WIDTH) {
        const Floats x = mul(activated<KIND>(load(gates + at)), load(given + at));
        store(values + at, x);
        widen(found, within(width, at, x));
    }
    return found;
}

static inline Extent gated(const float* gates, const float* given, float* values, int64_t width, int64_t activation) {
    switch (activation) {
        case GELU: return gate_row<GELU>(gates, given, values, width);
        case GELU_TANH: return gate_row<GELU_TANH>(gates, given, values, width);
        case RELU: return gate_row<RELU>(gates, given, values, width);
        case TANH: return gate_row<TANH>(gates, given, values, width);
        case SILU: return gate_row<SILU>(gates, given, values, width);
        default: return gate_row<NONE>(gates, given, values, width);
    }
}

// out = activation(in[: width]) * in[width :] (Shazeer 2020, 2002.05202).
static void gate(const Model& model, const Step& step, Workspace& work) {
    const Slot& in = work.slots[step.in];
    Slot& out = work.slots[step.out];
    in_parts(work, rows_of(model, work, step.out), [&](int64_t begin, int64_t end, int64_t) {
        for (int64_t row = begin; row < end; ++row) {
            const float* gates = in.values + row * in.stride;
            float* values = out.values + row * out.stride;
            const Extent found = gated(gates, gates + step.width, values, step.width, step.choice);
            if (step.rounds)
                round_within(found, values, step.width, out.bytes + row * out.byte_stride, out.steps + row,
                             out.zeros + row);
        }
    });
    out.rounded = step.rounds;
}

// The last token alone goes on, as the first row.
static void narrow(const Model& model, Workspace& work) {
    const int64_t last = work.in_tokens - 1;
    if (last <= 0) return;
    for (int64_t at = 0; at < model.slot_count; ++at) {
        Slot& slot = work.slots[at];
        if (model.shapes[at].per_text) continue;
        __builtin_memcpy(slot.values, slot.values + last * slot.stride, 4 * slot.stride);
        __builtin_memcpy(slot.bytes, slot.bytes + last * slot.byte_stride, slot.byte_stride);
        slot.steps[0] = slot.steps[last];
        slot.zeros[0] = slot.zeros[last];
    }
    work.ids[0] = work.ids[last];
    work.places[0] = work.places[last];
    work.kinds[0] = work.kinds[last];
    work.columns[0] = 0;
    work.group[0] = Text{0, 0, 1};
    work.in_tokens = 1;
}
