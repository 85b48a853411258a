/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/api_route.h - the table of routes: method, path, what a request may
 * contain, who answers it.
 */
#ifndef CAIRN_GATEWAY_API_ROUTE_H
#define CAIRN_GATEWAY_API_ROUTE_H

#include "gateway/api_call.h"

#define API_ROUTE_PREFIX "/api/v1"

enum api_field_type {
    API_FIELD_TEXT,
    API_FIELD_BOOL,
    API_FIELD_INT,
    API_FIELD_TEXTS,    /* an array of texts */
    API_FIELD_TEXT_MAP, /* an object of texts */
};

struct api_field {
    const char *name;
    enum api_field_type type;
    bool required; /* present and not null */
};

struct api_route {
    enum authz_action action;
    const char *method;
    const char *path;  /* below the prefix: "/vaults/{vault}/keys" */
    const char *query; /* names that are allowed, one space between */
    const struct api_field *fields; /* of the body; NULL: no body */
    size_t field_count;
    /* One of the two: on the loop; or on the lane, and then answered. */
    void (*handle)(struct api_call *call);
    api_call_lane_fn *lane;
};

extern const struct api_route api_route_table[];
extern const size_t api_route_count;

/*
 * Find the route of a request and what stands for {..} in its path, which is
 * cut at its slashes for that. NULL: *err says why, ERR_NOT_FOUND; *status is
 * 404, or 405 and then `allow` lists the methods.
 */
const struct api_route *api_route_find(const char *method, char *path,
                                       const char *args[API_CALL_ARGS],
                                       char *allow, size_t allow_size,
                                       int *status, struct err *err);

/* Names and types; ERR_ARGUMENT names the first that is wrong. */
enum err_code api_route_check_query(const struct api_route *r,
                                    const struct json *query,
                                    struct err *err);
enum err_code api_route_check_body(const struct api_route *r,
                                   const struct json *body, struct err *err);

#endif
