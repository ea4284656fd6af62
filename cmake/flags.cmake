# SPDX-License-Identifier: Apache-2.0
#
# The compiler flags of all our own targets: warnings, and the OpenSSF hardening options that gcc 12 and clang 14 have.
add_library(depbroker_flags INTERFACE)
target_include_directories(depbroker_flags INTERFACE ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/server ${CMAKE_SOURCE_DIR})
target_compile_definitions(depbroker_flags INTERFACE _GNU_SOURCE DEPBROKER_VERSION="${PROJECT_VERSION}")
target_compile_options(depbroker_flags INTERFACE
	-Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wswitch-enum -Wformat=2
	-Werror=format-security -Wimplicit-fallthrough -Wundef -Wpointer-arith -Wcast-qual
	-fno-omit-frame-pointer -fno-strict-aliasing -fno-delete-null-pointer-checks
	-fstack-protector-strong)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
	target_compile_options(depbroker_flags INTERFACE -Wjump-misses-init -Wlogical-op -Wduplicated-cond)
endif()
# Clang has it without a second switch since 16.
include(CheckCCompilerFlag)
check_c_compiler_flag(-ftrivial-auto-var-init=zero DEPBROKER_HAVE_AUTO_VAR_INIT)
if(DEPBROKER_HAVE_AUTO_VAR_INIT)
	target_compile_options(depbroker_flags INTERFACE -ftrivial-auto-var-init=zero)
endif()

# gcc copies and clears up to 8 KiB with `rep movs` and `rep stos`, whose start alone takes longer than the C library needs for a record.
set(strategy unrolled_loop:64:noalign,libcall:-1:noalign)
check_c_compiler_flag("-mmemcpy-strategy=${strategy}" DEPBROKER_HAVE_MEMCPY_STRATEGY)
if(DEPBROKER_HAVE_MEMCPY_STRATEGY)
	target_compile_options(depbroker_flags INTERFACE -mmemcpy-strategy=${strategy} -mmemset-strategy=${strategy})
endif()
if(DEPBROKER_WERROR)
	target_compile_options(depbroker_flags INTERFACE -Werror)
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64")
	target_compile_options(depbroker_flags INTERFACE -fcf-protection=full)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64")
	target_compile_options(depbroker_flags INTERFACE -mbranch-protection=standard)
endif()
target_link_options(depbroker_flags INTERFACE -pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,nodlopen -Wl,--as-needed)

if(DEPBROKER_SANITIZE)
	target_compile_options(depbroker_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all)
	target_link_options(depbroker_flags INTERFACE -fsanitize=address,undefined)
else()
	target_compile_options(depbroker_flags INTERFACE -fstack-clash-protection)
	target_compile_definitions(depbroker_flags INTERFACE $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2>)
endif()
if(DEPBROKER_COVERAGE)
	target_compile_options(depbroker_flags INTERFACE --coverage)
	target_link_options(depbroker_flags INTERFACE --coverage)
endif()
if(DEPBROKER_FUZZ)
	target_compile_options(depbroker_flags INTERFACE -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
	target_link_options(depbroker_flags INTERFACE -fsanitize=address,undefined)
endif()
