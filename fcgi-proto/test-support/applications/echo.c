/* Says the method, the query and the length of the body, then the body; with `status=N` it ends with that application
 * status, with `stderr` it says so there. */
#include <fcgiapp.h>
#include <stdlib.h>
#include <string.h>

static const char *param(FCGX_Request *request, const char *name) {
    const char *value = FCGX_GetParam(name, request->envp);
    return value ? value : "";
}

int main(int argc, char **argv) {
    FCGX_Request request;
    static char body[8 << 20];
    if (argc != 2 || FCGX_Init() != 0) return 2;
    int listener = FCGX_OpenSocket(argv[1], 64);
    if (listener < 0 || FCGX_InitRequest(&request, listener, 0) != 0) return 3;
    while (FCGX_Accept_r(&request) == 0) {
        const char *query = param(&request, "QUERY_STRING");
        int len = FCGX_GetStr(body, sizeof body, request.in);
        if (strstr(query, "stderr")) FCGX_FPrintF(request.err, "said on stderr\n");
        FCGX_FPrintF(request.out, "Content-Type: application/octet-stream\r\nX-Method: %s\r\n\r\n%s %d\n",
                     param(&request, "REQUEST_METHOD"), query, len);
        FCGX_PutStr(body, len, request.out);
        const char *status = strstr(query, "status=");
        FCGX_SetExitStatus(status ? atoi(status + 7) : 0, request.out);
        FCGX_Finish_r(&request);
    }
    return 0;
}
