// Which sanitizers this build has.
#pragma once

namespace peri {

#if !defined(__has_feature)
inline constexpr bool kAddressSanitizer = false, kThreadSanitizer = false;
#else
inline constexpr bool kAddressSanitizer = __has_feature(address_sanitizer);
inline constexpr bool kThreadSanitizer = __has_feature(thread_sanitizer);
#endif
// They map terabytes, and have allocators of their own.
inline constexpr bool kSanitizedMemory = kAddressSanitizer || kThreadSanitizer;

}  // namespace peri
