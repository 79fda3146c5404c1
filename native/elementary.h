// Elementary functions on vectors, within about 1e-7 of the exact ones, relatively where these are large.
// Included once for each instruction set, inside its namespace.

static inline Floats exponential(Floats x) {
    // e^x = 2^n e^r with n = round(x / ln 2), |r| <= ln 2 / 2; ln 2 in two parts, so that n ln 2 is exact.
    x = min(max(x, splat(-87.0f)), splat(88.0f));
    const Ints n = to_ints(mul(x, splat(1.44269504088896341f)));
    const Floats whole = to_floats(n);
    Floats r = fma(whole, splat(-0.693359375f), x);
    r = fma(whole, splat(2.12194440e-4f), r);
    Floats y = splat(1.9875691500e-4f);  // Cephes, expf
    y = fma(y, r, splat(1.3981999507e-3f));
    y = fma(y, r, splat(8.3334519073e-3f));
    y = fma(y, r, splat(4.1665795894e-2f));
    y = fma(y, r, splat(1.6666665459e-1f));
    y = fma(y, r, splat(5.0000001201e-1f));
    y = add(fma(y, mul(r, r), r), splat(1.0f));
    return mul(y, power_of_two(n));
}

static inline Floats sigmoid(Floats x) {
    return quotient(splat(1.0f), add(splat(1.0f), exponential(sub(splat(0.0f), x))));
}

static inline Floats hyperbolic_tangent(Floats x) {
    return sub(splat(1.0f), quotient(splat(2.0f), add(exponential(add(x, x)), splat(1.0f))));
}

static inline Floats error_function(Floats x) {
    // A rational function of x on [-4, 4], where 1 - |erf| falls below half a bit (Eigen, generic_fast_erf_float).
    x = min(max(x, splat(-4.0f)), splat(4.0f));
    const Floats square = mul(x, x);
    Floats above = splat(-2.72614225801306e-10f);
    above = fma(above, square, splat(2.77068142495902e-08f));
    above = fma(above, square, splat(-2.10102402082508e-06f));
    above = fma(above, square, splat(-5.69250639462346e-05f));
    above = fma(above, square, splat(-7.34990630326855e-04f));
    above = fma(above, square, splat(-2.95459980854025e-03f));
    above = fma(above, square, splat(-1.60960333262415e-02f));
    Floats below = splat(-1.45660718464996e-05f);
    below = fma(below, square, splat(-2.13374055278905e-04f));
    below = fma(below, square, splat(-1.68282697438203e-03f));
    below = fma(below, square, splat(-7.37332916720468e-03f));
    below = fma(below, square, splat(-1.42647390514189e-02f));
    return quotient(mul(x, above), below);
}

static inline Floats gelu(Floats x) {
    const Floats half = mul(x, splat(0.5f));
    return fma(half, error_function(mul(x, splat(0.707106781186547524f))), half);
}

static inline Floats gelu_by_tangent(Floats x) {
    const Floats inner = fma(mul(mul(x, x), x), splat(0.044715f), x);
    const Floats half = mul(x, splat(0.5f));
    return fma(half, hyperbolic_tangent(mul(inner, splat(0.797884560802865356f))), half);
}

template <int KIND>
static inline Floats activated(Floats x) {
    switch (KIND) {
        case GELU: return gelu(x);
        case GELU_TANH: return gelu_by_tangent(x);
        case RELU: return max(x, splat(0.0f));
        case TANH: return hyperbolic_tangent(x);
        case SILU: return mul(x, sigmoid(x));
        default: return x;
    }
}
