/* SPDX-License-Identifier: Apache-2.0 */
/* Any request target; what is taken holds nothing that it promises not to. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "net/http_target.h"
#include "net/http_tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void check_text(const char *text)
{
    require(parse_utf8(text, strlen(text)));
    for (; *text; text++)
        require((unsigned char)*text >= 0x20 && *text != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct http_target t = {0};
    uint8_t pin[32];

    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    (void)http_trust_parse_pin(text, pin);
    if (http_target_parse(text, &t) == ERR_OK) {
        require(t.path[0] == '/' && t.count <= HTTP_TARGET_PARAMS);
        check_text(t.path);
        for (size_t i = 0; i < t.count; i++) {
            check_text(t.params[i].name);
            check_text(t.params[i].value);
            require(http_target_find(&t, t.params[i].name) != NULL);
        }
    } else {
        require(!t.path);
    }
    http_target_fini(&t);
    free(text);
    return 0;
}
