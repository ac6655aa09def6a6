/* Network addresses: text, names, the kernel's form. */
#include "net_inside.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

static const uint8_t MAPPED[12] = { [10] = 0xff, [11] = 0xff };

static bool is_ipv4(const struct net_address *address)
{
    return memcmp(address->ip, MAPPED, sizeof MAPPED) == 0;
}

struct net_address address_of(const struct sockaddr *from)
{
    struct net_address address = { .port = 0 };
    if (from->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, from, sizeof in);
        memcpy(address.ip, MAPPED, sizeof MAPPED);
        memcpy(address.ip + sizeof MAPPED, &in.sin_addr, sizeof in.sin_addr);
        address.port = ntohs(in.sin_port);
    } else if (from->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, from, sizeof in6);
        memcpy(address.ip, &in6.sin6_addr, sizeof address.ip);
        address.port = ntohs(in6.sin6_port);
    }
    return address;
}

const char *net_format(const struct net_address *address, char to[NET_ADDRESS_TEXT])
{
    char ip[INET6_ADDRSTRLEN];
    if (is_ipv4(address)) {
        inet_ntop(AF_INET, address->ip + sizeof MAPPED, ip, sizeof ip);
        snprintf(to, NET_ADDRESS_TEXT, "%s:%u", ip, address->port);
    } else {
        inet_ntop(AF_INET6, address->ip, ip, sizeof ip);
        snprintf(to, NET_ADDRESS_TEXT, "[%s]:%u", ip, address->port);
    }
    return to;
}

bool net_is_loopback(const struct net_address *address)
{
    static const uint8_t LOOPBACK6[16] = { [15] = 1 };
    return is_ipv4(address) ? address->ip[sizeof MAPPED] == 127
                            : memcmp(address->ip, LOOPBACK6, sizeof LOOPBACK6) == 0;
}

int address_resolve(const char *host, uint16_t port, int flags, struct addrinfo **ret_list)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV };
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    if (strcmp(host, "localhost") == 0) {
        host = NULL; /* both loopback addresses, whatever the machine's files say (RFC 6761) */
        hints.ai_flags &= ~AI_PASSIVE;
    }
    switch (getaddrinfo(host, service, &hints, ret_list)) {
    case 0:
        return 0;
    case EAI_SYSTEM:
        return -errno;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_AGAIN:
        return -EAGAIN;
    default:
        return -EADDRNOTAVAIL;
    }
}
