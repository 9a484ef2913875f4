// What kernels without AVX-512 do in place of masks. Included by them in front of gcm_kernel.h, inside an anonymous
// namespace of each; so it has no include guard. They define load, store, add and both (the bits that are in both
// vectors).

/// Ones and then zeros: read from sizeof(V) - n, n bytes are kept. Aligned so that no such read crosses a line of the
/// cache.
struct Keep {
  alignas(64) std::uint8_t bytes[2 * sizeof(V)];
};

constexpr Keep onesThenZeros() {
  Keep keep{};
  for (std::size_t i = 0; i < sizeof(V); i++) keep.bytes[i] = 255;
  return keep;
}

constexpr Keep kKeep = onesThenZeros();

HIPD_GCM_INLINE V loadPart(const std::uint8_t* p, std::size_t part) {
  std::uint8_t bytes[sizeof(V)] = {};
  std::memcpy(bytes, p, part);
  return load(bytes);
}

HIPD_GCM_INLINE void storePart(std::uint8_t* p, V v, std::size_t part) {
  std::uint8_t bytes[sizeof(V)];
  store(bytes, v);
  std::memcpy(p, bytes, part);
}

HIPD_GCM_INLINE V keepPart(V v, std::size_t part) {
  return both(v, load(kKeep.bytes + sizeof(V) - part));
}

/// No text stands beside blocks 0 and 1.
HIPD_GCM_INLINE V loadHead(const std::uint8_t*, std::size_t) {
  return V{};
}

HIPD_GCM_INLINE void storeHead(std::uint8_t*, V, std::size_t) {}

HIPD_GCM_INLINE V add(V a, V b, V c) {
  return add(add(a, b), c);
}
