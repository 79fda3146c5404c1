// See `reading.h`. Every offset and size is held against the file, and every step against the slots that it reads and
// writes, before a kernel runs: a plan that passes cannot make one leave its memory.
#include "reading.h"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace millis {
namespace {

constexpr int64_t VERSION = 2, MOST = int64_t{1} << 24, MOST_STEPS = 100000;
constexpr int64_t MOST_INPUTS = 65536;           // 255 * 128 * 65536 is below 2^31: sums do not overflow
constexpr int64_t MOST_SLOTS = 64, MOST_WIDTH = int64_t{1} << 20;  // of all slots together: memory for each token

class Reader {
  public:
    Reader(const uint8_t* data, int64_t size, const int64_t* words, int64_t count)
        : data_(data), size_(size), words_(words), left_(count) {}

    int64_t word(const char* what, int64_t low, int64_t high) {
        if (left_ == 0) throw Refused("the plan ends too early");
        --left_;
        const int64_t value = *words_++;
        if (value < low || value > high) throw Refused(std::string(what) + " is " + std::to_string(value));
        return value;
    }

    float number(const char* what) {
        const int64_t bits = word(what, INT64_MIN, INT64_MAX);
        double value;
        std::memcpy(&value, &bits, sizeof value);
        if (!(value > -1e30 && value < 1e30)) throw Refused(std::string(what) + " is no number");
        return static_cast<float>(value);
    }

    // A tensor in the file; none where its offset is -1, which `needed` forbids.
    template <typename Number>
    const Number* tensor(const char* what, int64_t count, bool needed) {
        const int64_t offset = word(what, -1, INT64_MAX);
        if (offset == -1 && !needed) return nullptr;
        if (offset < 0 || offset % LINE != 0 || offset > size_ || count > (size_ - offset) / int64_t{sizeof(Number)})
            throw Refused(std::string(what) + " lies outside of the file");
        return reinterpret_cast<const Number*>(data_ + offset);
    }

    bool ended() const { return left_ == 0; }

  private:
    const uint8_t* data_;
    int64_t size_;
    const int64_t* words_;
    int64_t left_;
};

Matrix matrix(Reader& reader) {
    Matrix found;
    found.inputs = reader.word("a matrix' inputs", 0, MOST_INPUTS);
    found.outputs = reader.word("a matrix' outputs", 0, MOST);
    const int64_t kind = reader.word("a matrix' kind", 0, 3);  // of 32, 8, 4 bits, of 16
    const bool present = found.outputs > 0;
    found.block = reader.word("a matrix' blocks", 0, MOST_INPUTS);
    if (present != (found.inputs > 0)) throw Refused("a matrix has one side only");
    found.panels = padded(found.outputs, PANEL) / PANEL;
    const int64_t channels = found.panels * PANEL;
    if (kind == 2) {
        if (!present || found.block == 0 || found.block % 8 != 0) throw Refused("a matrix has no blocks of eights");
        const int64_t blocks = padded(found.inputs, found.block) / found.block;
        found.nibbles = reader.tensor<uint8_t>("a matrix", padded(found.inputs, 8) / 2 * channels, true);
        found.scales = reader.tensor<float>("a matrix' scales", blocks * channels, true);
    } else if (kind == 3) {
        found.halves = reader.tensor<uint16_t>("a matrix", padded(found.inputs, 2) * channels, present);
        reader.word("a matrix' scales", -1, -1);
    } else if (kind == 1) {
        found.integers = reader.tensor<int8_t>("a matrix", padded(found.inputs, 4) * channels, present);
        found.scales = reader.tensor<float>("a matrix' scales", channels, present);
    } else {
        found.floats = reader.tensor<float>("a matrix", found.inputs * channels, present);
        reader.word("a matrix' scales", -1, -1);
    }
    found.bias = reader.tensor<float>("a bias", channels, false);
    return found;
}

// What is found of a matrix' integers by going over them once: each output's sum, and whether any lies beyond -64..64.
void survey(Matrix& matrix, std::vector<std::vector<int32_t>>& sums) {
    const int64_t groups = padded(matrix.inputs, 4) / 4;
    std::vector<int32_t> found(static_cast<size_t>(matrix.panels * PANEL), 0);
    const int8_t* weight = matrix.integers;
    for (int64_t panel = 0; panel < matrix.panels; ++panel) {
        int32_t total[PANEL] = {}, beyond = 0;
        for (int64_t group = 0; group < groups; ++group, weight += 4 * PANEL)
            for (int64_t output = 0; output < PANEL; ++output)
                for (int64_t input = 0; input < 4; ++input) {
                    const int32_t value = weight[4 * output + input];
                    total[output] += value;
                    beyond |= (value > 64) | (value < -64);
                }
        std::copy(total, total + PANEL, found.begin() + panel * PANEL);
        matrix.wide = matrix.wide || beyond != 0;
    }
    sums.push_back(std::move(found));
    matrix.sums = sums.back().data();
}

// Each output's sum of weights of 4 bits.
void survey_blocks(Matrix& matrix, std::vector<std::vector<float>>& offsets) {
    const int64_t pairs = padded(matrix.inputs, 8) / 8, blocks = padded(matrix.inputs, matrix.block) / matrix.block;
    std::vector<float> found(static_cast<size_t>(matrix.panels * PANEL), 0.0f);
    const uint8_t* weight = matrix.nibbles;
    for (int64_t panel = 0; panel < matrix.panels; ++panel) {
        double total[PANEL] = {};
        for (int64_t pair = 0; pair < pairs; ++pair, weight += 4 * PANEL) {
            const float* scales = matrix.scales + (panel * blocks + 8 * pair / matrix.block) * PANEL;
            for (int64_t output = 0; output < PANEL; ++output) {
                int32_t sum = 0;
                for (int64_t input = 0; input < 4; ++input)
                    sum += (weight[4 * output + input] & 15) + (weight[4 * output + input] >> 4) - 16;
                total[output] += static_cast<double>(scales[output]) * sum;
            }
        }
        for (int64_t output = 0; output < PANEL; ++output)
            found[static_cast<size_t>(panel * PANEL + output)] = static_cast<float>(total[output]);
    }
    offsets.push_back(std::move(found));
    matrix.offsets = offsets.back().data();
}

Table table(Reader& reader) {
    Table found;
    found.rows = reader.word("a table's rows", 0, MOST);
    found.width = reader.word("a table's width", 0, MOST);
    found.stride = padded(found.width, PANEL);
    const int64_t kind = reader.word("a table's kind", 0, 2);  // of 32, 8 bits, of 16
    const bool present = found.rows > 0;
    if (present && found.width == 0) throw Refused("a table's width is 0");
    if (kind == 2) {
        found.halves = reader.tensor<uint16_t>("a table", found.rows * found.stride, present);
        reader.word("a table's scales", -1, -1);
    } else if (kind == 1) {
        found.integers = reader.tensor<int8_t>("a table", found.rows * found.stride, present);
        found.scales = reader.tensor<float>("a table's scales", found.rows, present);
    } else {
        found.floats = reader.tensor<float>("a table", found.rows * found.stride, present);
        reader.word("a table's scales", -1, -1);
    }
    return found;
}

Step step(Reader& reader, int64_t slots, int64_t outputs) {
    Step found;
    found.kind = static_cast<Kind>(reader.word("a step's kind", 0, KINDS - 1));
    found.in = reader.word("a step's input", -1, slots - 1);
    found.second = reader.word("a step's residual", -1, slots - 1);
    found.out = reader.word("a step's output", -1, slots - 1);
    found.width = reader.word("a step's width", 0, MOST);
    found.count = reader.word("a step's count", 0, MOST);
    found.choice = reader.word("a step's choice", 0, ACTIVATIONS - 1);
    found.column = reader.word("a step's column", 0, MOST);
    found.groups = reader.word("a step's groups", 0, MOST);
    found.number = reader.number("a step's number");
    found.padding = reader.word("a step's padding", -1, MOST);
    found.reads_types = reader.word("whether a step reads types", 0, 1) != 0;
    found.matrix = matrix(reader);
    found.words = table(reader);
    found.positions = table(reader);
    found.types = table(reader);
    found.norm.gain = reader.tensor<float>("a norm's gain", padded(found.width, PANEL), false);
    found.norm.shift = reader.tensor<float>("a norm's shift", padded(found.width, PANEL), false);
    found.norm.epsilon = reader.number("a norm's epsilon");
    const int64_t biased = found.kind == BAG      ? found.words.rows
                           : found.kind == CAUSAL ? (found.width + 1) / 2
                                                  : padded(found.width, PANEL);
    found.bias = reader.tensor<float>("a step's bias", biased, found.kind == BAG);
    if (found.kind == OUTPUT && found.count >= outputs) throw Refused("a step gives an output that there is not");
    return found;
}

void require(bool holds, const char* what) {
    if (!holds) throw Refused(what);
}

// Whether slot `at` is there, is of tokens or of texts as wanted, and has the width.
void hold(const Reading& plan, int64_t at, bool per_text, int64_t width, const char* what) {
    require(at >= 0, what);
    const Shape& shape = plan.shapes[static_cast<size_t>(at)];
    require(shape.per_text == per_text && width > 0 && width <= shape.width, what);
}

void check_embed(const Reading& plan, const Step& step) {
    hold(plan, step.out, false, step.width, "embeddings do not fit where they go");
    if (step.in >= 0) hold(plan, step.in, false, step.width, "embeddings do not fit what they are added to");
    require(step.in >= 0 || step.words.rows > 0 || step.matrix.outputs > 0, "embeddings of nothing");
    require(step.matrix.outputs == 0 || step.matrix.inputs == step.width, "a matrix of words has another width");
    require(step.matrix.nibbles == nullptr, "words of 4 bits");
    for (const Table* table : {&step.words, &step.positions, &step.types})
        require(table->rows == 0 || table->width == step.width, "a table has another width than its step");
}

void check_linear(const Reading& plan, const Step& step) {
    require(step.in >= 0 && step.out >= 0 && step.in != step.out, "a product lacks its rows");
    const bool per_text = plan.shapes[static_cast<size_t>(step.in)].per_text;
    hold(plan, step.in, per_text, step.matrix.inputs, "a product's inputs do not fit");
    hold(plan, step.out, per_text, step.column + step.matrix.outputs, "a product's outputs do not fit");
}

void check_causal(const Reading& plan, const Step& step) {
    require(step.in != step.out, "attention writes what it reads");
    require(step.choice < CACHES, "keys and values are kept in what is unknown");
    require(step.groups > 0 && step.count % step.groups == 0, "heads do not share keys evenly");
    require(step.bias == nullptr || step.width % 2 == 0, "a head of odd size cannot be turned");
    hold(plan, step.in, false, step.width * (step.count + 2 * step.groups), "attention's inputs do not fit");
    hold(plan, step.out, false, step.width * step.count, "attention's outputs do not fit");
}

void check_carry(const Reading& plan, const Step& step) {
    require(step.out != step.second && step.norm.gain != nullptr, "a norm writes what it reads, or has no gain");
    hold(plan, step.out, false, step.width, "a norm's outputs do not fit");
    hold(plan, step.second, false, step.width, "a norm's residual does not fit");
    if (step.in >= 0) hold(plan, step.in, false, step.width, "a norm's inputs do not fit");
}

void check(const Reading& plan, const Step& step) {
    const bool any = step.out >= 0 && plan.shapes[static_cast<size_t>(step.out)].per_text;
    switch (step.kind) {
        case EMBED: return check_embed(plan, step);
        case LINEAR: return check_linear(plan, step);
        case ATTENTION:
            require(step.in != step.out, "attention writes what it reads");
            hold(plan, step.in, false, 3 * step.width * step.count, "attention's inputs do not fit");
            return hold(plan, step.out, false, step.width * step.count, "attention's outputs do not fit");
        case NORM:
            hold(plan, step.out, any, step.width, "a norm's outputs do not fit");
            hold(plan, step.second, any, step.width, "a norm's residual does not fit");
            require(step.in >= 0 || step.bias != nullptr, "a norm adds nothing");
            if (step.in >= 0) hold(plan, step.in, any, step.width, "a norm's inputs do not fit");
            return;
        case POOL:
            require(step.choice < POOLINGS, "a pooling is unknown");
            hold(plan, step.in, false, step.width, "a pooling's inputs do not fit");
            return hold(plan, step.out, true, step.width, "a pooling's outputs do not fit");
        case UNFOLD:
            require(step.in != step.out && step.count % 2 == 1, "a window is even, or writes what it reads");
            hold(plan, step.in, false, step.width, "a window's inputs do not fit");
            return hold(plan, step.out, false, step.width * step.count, "a window's outputs do not fit");
        case LSTM:
            require(step.in != step.out && step.matrix.inputs == step.count && step.matrix.outputs == 4 * step.count,
                    "an LSTM's matrix does not fit");
            hold(plan, step.in, false, 4 * step.count, "an LSTM's inputs do not fit");
            return hold(plan, step.out, false, step.column + step.count, "an LSTM's outputs do not fit");
        case BAG:
            require(step.words.rows > 0 && step.words.width == step.width, "a bag's table does not fit");
            return hold(plan, step.out, true, step.width, "a bag's outputs do not fit");
        case TAKE: return hold(plan, step.out, false, step.width, "the states do not fit where they go");
        case DROP: return hold(plan, step.out, false, step.width, "the states to drop do not fit");
        case CARRY: return check_carry(plan, step);
        case GATE:
            require(step.in != step.out, "a gate writes what it reads");
            hold(plan, step.in, false, 2 * step.width, "a gate's inputs do not fit");
            return hold(plan, step.out, false, step.width, "a gate's outputs do not fit");
        case CAUSAL: return check_causal(plan, step);
        default: {
            const Output& output = plan.outputs[static_cast<size_t>(step.count)];
            require(output.width == step.width, "an output has another width");
            return hold(plan, step.in, output.per_text, step.width, "an output's rows do not fit");
        }
    }
}

// Whether a product of integers reads what this step leaves, so that it is rounded while it is at hand.
bool is_rounded_next(const std::vector<Step>& steps, size_t at) {
    const Step& made = steps[at];
    constexpr Kind ROUNDING[] = {LINEAR, EMBED, NORM, ATTENTION, CARRY, GATE, CAUSAL};
    if (made.out < 0 || std::find(std::begin(ROUNDING), std::end(ROUNDING), made.kind) == std::end(ROUNDING))
        return false;
    const int64_t written = made.kind == LINEAR                             ? made.matrix.outputs
                            : made.kind == ATTENTION || made.kind == CAUSAL ? made.width * made.count
                                                                            : made.width;
    for (size_t next = at + 1; next < steps.size(); ++next) {
        const Step& step = steps[next];
        if (step.kind == LINEAR && step.in == made.out && step.matrix.is_of_integers())
            return made.column == 0 && written == step.matrix.inputs;
        if (step.out == made.out) return false;
    }
    return false;
}

void summarise(Reading& plan) {
    plan.vocabulary = MOST;
    bool integers = false, halves = false;
    for (Step& step : plan.steps) {
        if (step.kind != EMBED) {
            integers = integers || step.matrix.is_of_integers();
            halves = halves || step.matrix.halves != nullptr;
        }
        if (step.words.rows > 0) plan.vocabulary = std::min(plan.vocabulary, step.words.rows);
        if (step.kind == EMBED && step.matrix.outputs > 0)
            plan.vocabulary = std::min(plan.vocabulary, step.matrix.outputs);
        if (step.positions.rows > 0) {
            plan.positions = plan.positions == 0 ? step.positions.rows : std::min(plan.positions, step.positions.rows);
            plan.padding = step.padding;
        }
        if (step.reads_types && step.types.rows > 0)
            plan.kinds = plan.kinds == 0 ? step.types.rows : std::min(plan.kinds, step.types.rows);
        plan.keeps_first = plan.keeps_first || (step.kind == POOL && step.choice == FIRST);
        if (step.kind == TAKE) {
            require(plan.taken == 0 || plan.taken == step.width, "a plan takes states of two widths");
            plan.taken = step.width;
        }
        if (step.kind == ATTENTION || step.kind == CAUSAL) plan.head_size = std::max(plan.head_size, step.width);
        if (step.kind == LSTM) plan.hidden = std::max(plan.hidden, step.count);
    }
    require(!(integers && halves), "rows are rounded in two ways");
    plan.rounded_bytes = halves ? 2 : 1;
}

// What is found of the steps that look back, and whether all others take each token by itself.
void look_back(Reading& plan) {
    constexpr Kind APART[] = {EMBED, LINEAR, NORM, OUTPUT, CARRY, GATE, CAUSAL};
    plan.writes = plan.outputs.size() == 1 && !plan.outputs[0].per_text;
    for (size_t at = 0; at < plan.steps.size(); ++at) {
        Step& step = plan.steps[at];
        plan.writes = plan.writes && std::find(std::begin(APART), std::end(APART), step.kind) != std::end(APART);
        if (step.kind != CAUSAL) continue;
        step.place = plan.looking++;
        plan.apart = static_cast<int64_t>(at) + 1;
        if (step.bias == nullptr) continue;
        require(plan.padding < 0, "heads are turned by places that are counted otherwise");
        require(plan.frequencies == nullptr || (plan.frequencies == step.bias && plan.turned == step.width),
                "heads are turned in two ways");
        plan.frequencies = step.bias, plan.turned = step.width;
    }
    if (plan.apart > 0) plan.steps[static_cast<size_t>(plan.apart) - 1].ends = true;
    for (int64_t at = 0; at < plan.apart; ++at)  // outputs of tokens that nobody asked for would have no room
        plan.writes = plan.writes && plan.steps[static_cast<size_t>(at)].kind != OUTPUT;
}

}  // namespace

Reading read_plan(const uint8_t* data, int64_t size, const int64_t* words, int64_t count) {
    Reader reader(data, size, words, count);
    Reading plan;
    reader.word("the plan's version", VERSION, VERSION);
    const int64_t slots = reader.word("the number of slots", 1, MOST_SLOTS);
    const int64_t outputs = reader.word("the number of outputs", 1, MOST_SLOTS);
    const int64_t steps = reader.word("the number of steps", 1, MOST_STEPS);
    int64_t width = 0;
    for (int64_t at = 0; at < slots; ++at) {
        Shape shape;
        shape.width = reader.word("a slot's width", 1, MOST);
        shape.stride = padded(shape.width, PANEL) + PANEL;
        shape.per_text = reader.word("a slot's rows", 0, 1) != 0;
        width += shape.width;
        plan.shapes.push_back(shape);
    }
    require(width <= MOST_WIDTH, "the slots are too wide");
    for (int64_t at = 0; at < outputs; ++at) {
        Output output;
        output.width = reader.word("an output's width", 1, MOST);
        output.per_text = reader.word("an output's rows", 0, 1) != 0;
        plan.outputs.push_back(output);
    }
    for (int64_t at = 0; at < steps; ++at) {
        plan.steps.push_back(step(reader, slots, outputs));
        check(plan, plan.steps.back());
        Step& last = plan.steps.back();
        if (last.matrix.integers != nullptr && last.kind != EMBED) survey(last.matrix, plan.sums);
        if (last.matrix.nibbles != nullptr) survey_blocks(last.matrix, plan.offsets);
    }
    require(reader.ended(), "the plan goes on after its end");
    for (int64_t at = 0; at < outputs; ++at)
        require(std::any_of(plan.steps.begin(), plan.steps.end(),
                            [&](const Step& step) { return step.kind == OUTPUT && step.count == at; }),
                "an output is given by no step");
    for (size_t at = 0; at < plan.steps.size(); ++at)
        plan.steps[at].rounds = is_rounded_next(plan.steps, at);
    summarise(plan);
    look_back(plan);
    return plan;
}

}  // namespace millis
