/* SPDX-License-Identifier: Apache-2.0 */
/* What json_parse() takes it also writes, and reads again as the same. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct json *j, unsigned depth)
{
    const struct json *member = NULL;

    if (depth > 64)
        abort();
    for (size_t i = 0; i < json_count(j) && i < 100; i++) {
        if (json_kind(j) == JSON_ARRAY) {
            walk(json_at(j, i), depth + 1);
            continue;
        }
        if (!json_get(j, json_key_at(j, i, &member)))
            abort();
        walk(member, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json *j = NULL, *again = NULL;
    char *text, *text_again;
    struct err err;
    size_t len = 0;

    if (json_parse(data, size, &j, &err) != ERR_OK) {
        if (j || err.code == ERR_OK || !err.text[0])
            abort();
        return 0;
    }
    walk(j, 0);
    text = json_dump(j, size % 2 != 0, &len);
    /* A real of 15 digits may round up to more than a double holds. */
    if (!text || json_parse(text, len, &again, &err) != ERR_OK) {
        if (!text || !strstr(err.text, "real number overflow"))
            abort();
    } else {
        text_again = json_dump(again, size % 2 != 0, &len);
        if (!text_again || strcmp(text, text_again) != 0)
            abort();
        free(text_again);
    }
    free(text);
    json_free(again);
    json_free(j);
    return 0;
}
