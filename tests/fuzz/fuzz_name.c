/* SPDX-License-Identifier: Apache-2.0 */
/* A name that is taken is written as it was. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vault/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[NAME_TEXT];
    struct name n;

    if (!name_parse_n((const char *)data, size, &n))
        return 0;
    name_text(&n, text);
    if (strlen(text) != size || memcmp(text, data, size) != 0)
        abort();
    return 0;
}
