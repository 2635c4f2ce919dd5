/*
 * CRC-32C (Castagnoli), reflected, as in iSCSI: of "123456789" it is 0xe3069283.
 * Source: RFC 3720 appendix B.4. Any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* crc: 0 to begin, or the result so far to go on. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t n);

/* The same without the instruction that the processor may have for it; slower. */
uint32_t crc32c_portable(uint32_t crc, const void *bytes, size_t n);
