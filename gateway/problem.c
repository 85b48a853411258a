/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/problem.h"

#include <stddef.h>
#include <stdio.h>

#include "base/bytes.h"

static const struct {
    enum err_code code;
    int status;
    const char *title;
} rows[] = {
    {ERR_NOMEM, 503, "out of memory"},
    {ERR_ARGUMENT, 400, "the request cannot be used"},
    {ERR_IO, 500, "a local file or device failed"},
    {ERR_TIMEOUT, 504, "no answer in time"},
    {ERR_CANCELLED, 409, "cancelled"},
    {ERR_DENIED, 403, "denied"},
    {ERR_PROTOCOL, 502, "a peer broke the protocol"},
    {ERR_REMOTE, 502, "a peer refused"},
    {ERR_INTEGRITY, 500, "damage found"},
    {ERR_NOT_FOUND, 404, "not found"},
    {ERR_CONFLICT, 409, "conflict, ambiguous or locked"},
    {ERR_QUOTA, 422, "quota, policy or a missing mapping"},
    {ERR_COLD, 409, "cold"},
    {ERR_KEY, 422, "wrong or missing key"},
    {ERR_UNREACHABLE, 502, "unreachable"},
    {ERR_AGAIN, 503, "try again"},
};

static size_t row_of(enum err_code code)
{
    for (size_t i = 0; i < BYTES_COUNT(rows); i++)
        if (rows[i].code == code)
            return i;
    return 2;
}

int problem_status(enum err_code code)
{
    return rows[row_of(code)].status;
}

struct json *problem_new(const struct err *err, int status,
                         enum exit_code exit)
{
    struct json *j = json_new_object();
    char type[64];
    bool ok;

    snprintf(type, sizeof(type), "urn:cairn:problem:%s", err_name(err->code));
    ok = json_set_text(j, "type", type);
    ok = ok && json_set_text(j, "title", rows[row_of(err->code)].title);
    ok = ok && json_set_int(j, "status",
                            status ? status : problem_status(err->code));
    ok = ok && json_set_text(j, "detail", err->text);
    ok = ok && json_set_text(j, "code", err_name(err->code));
    ok = ok && json_set_int(j, "exit", exit);
    if (ok)
        return j;
    json_free(j);
    return NULL;
}
