/* ports_text.h - the API's list of ports as `ps` shows it: "0.0.0.0:80-81->80-81/tcp, 443/tcp". */
#pragma once

#include "json/json.h"

char *ports_text(const struct jval *ports);
