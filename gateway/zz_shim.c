#include "vault/index_fill.h"
enum err_code index_fill_start(const struct index_fill_opts *o, struct index_fill **out, struct err *err){ return err_set(err, ERR_ARGUMENT,0,"shim"); }
void index_fill_cancel(struct index_fill *f){}
