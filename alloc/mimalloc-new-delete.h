/* mimalloc-new-delete.h: operator new and delete of a whole C++ program by mi_new and mi_free. Include
** it in exactly one source file. C++11 and later; the forms with an alignment from C++17. */
#ifndef SLUICE_MIMALLOC_NEW_DELETE_H
#define SLUICE_MIMALLOC_NEW_DELETE_H

#ifdef __cplusplus
#include <new>

#include "mimalloc.h"

void* operator new(std::size_t n) { return mi_new(n); }
void* operator new[](std::size_t n) { return mi_new(n); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return mi_new_nothrow(n); }
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept { return mi_new_nothrow(n); }
void operator delete(void* p) noexcept { mi_free(p); }
void operator delete[](void* p) noexcept { mi_free(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { mi_free(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { mi_free(p); }
#if __cplusplus >= 201402L || defined(__cpp_sized_deallocation)
void operator delete(void* p, std::size_t n) noexcept { mi_free_size(p, n); }
void operator delete[](void* p, std::size_t n) noexcept { mi_free_size(p, n); }
#endif
#ifdef __cpp_aligned_new
inline std::size_t mi_of(std::align_val_t a) { return static_cast<std::size_t>(a); }
void* operator new(std::size_t n, std::align_val_t a) { return mi_new_aligned(n, mi_of(a)); }
void* operator new[](std::size_t n, std::align_val_t a) { return mi_new_aligned(n, mi_of(a)); }
void* operator new(std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return mi_new_aligned_nothrow(n, mi_of(a));
}
void* operator new[](std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return mi_new_aligned_nothrow(n, mi_of(a));
}
void operator delete(void* p, std::align_val_t a) noexcept { mi_free_aligned(p, mi_of(a)); }
void operator delete[](void* p, std::align_val_t a) noexcept { mi_free_aligned(p, mi_of(a)); }
void operator delete(void* p, std::size_t n, std::align_val_t a) noexcept {
  mi_free_size_aligned(p, n, mi_of(a));
}
void operator delete[](void* p, std::size_t n, std::align_val_t a) noexcept {
  mi_free_size_aligned(p, n, mi_of(a));
}
void operator delete(void* p, std::align_val_t a, const std::nothrow_t&) noexcept {
  mi_free_aligned(p, mi_of(a));
}
void operator delete[](void* p, std::align_val_t a, const std::nothrow_t&) noexcept {
  mi_free_aligned(p, mi_of(a));
}
#endif
#endif
#endif
