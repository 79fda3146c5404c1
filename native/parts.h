// How many rows a step has, and which of them each thread takes.
// Included once for each instruction set, inside its namespace.

static inline int64_t rows_of(const Model& model, const Workspace& work, int64_t slot) {
    return model.shapes[slot].per_text ? work.in_group : work.in_tokens;
}

// part(begin, end, who) over `count` things: all of them by the caller alone, or a share by each thread of the crew.
template <typename Part>
static inline void in_parts(Workspace& work, int64_t count, Part part) {
    if (work.crew == nullptr) return part(int64_t{0}, count, int64_t{0});
    struct Job {
        Part& part;
        int64_t count, size;
    } job = {part, count, work.crew->size};
    const auto task = [](void* given, int64_t who) {
        const Job& mine = *static_cast<const Job*>(given);
        const int64_t begin = mine.count * who / mine.size, end = mine.count * (who + 1) / mine.size;
        if (begin < end) mine.part(begin, end, who);
    };
    work.crew->share(work.crew, task, &job);
}
