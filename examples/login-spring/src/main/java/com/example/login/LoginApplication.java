package com.example.login;

import java.util.Map;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.http.HttpStatus;
import org.springframework.http.ResponseEntity;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.core.annotation.AuthenticationPrincipal;
import org.springframework.security.oauth2.client.OAuth2AuthorizedClient;
import org.springframework.security.oauth2.client.annotation.RegisteredOAuth2AuthorizedClient;
import org.springframework.security.oauth2.client.oidc.web.logout.OidcClientInitiatedLogoutSuccessHandler;
import org.springframework.security.oauth2.client.registration.ClientRegistrationRepository;
import org.springframework.security.oauth2.core.OAuth2AuthorizationException;
import org.springframework.security.oauth2.core.oidc.user.OidcUser;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.security.web.authentication.HttpStatusEntryPoint;
import org.springframework.security.web.servlet.util.matcher.PathPatternRequestMatcher;
import org.springframework.web.bind.annotation.ExceptionHandler;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.HttpClientErrorException;
import org.springframework.web.client.RestClient;
import org.springframework.web.servlet.view.RedirectView;

/**
 * An application that logs people in with Spring Security, which knows nothing of Bitjang.
 *
 * <pre>
 * bitjang client add "Orders" --redirect-uri http://127.0.0.1:8080/login/oauth2/code/bitjang --logout-uri http://127.0.0.1:8080/
 * mvn package && BITJANG_ISSUER=… CLIENT_ID=… CLIENT_SECRET=… java -jar target/login.jar
 * </pre>
 */
@SpringBootApplication
@RestController
public class LoginApplication {

  private final RestClient http = RestClient.create();

  @Value("${ORDERS_URL:}")
  private String ordersUrl;

  public static void main(String[] args) {
    SpringApplication.run(LoginApplication.class, args);
  }

  @Bean
  SecurityFilterChain chain(HttpSecurity security, ClientRegistrationRepository clients) throws Exception {
    var logout = new OidcClientInitiatedLogoutSuccessHandler(clients);
    logout.setPostLogoutRedirectUri("{baseUrl}/");
    return security
        .authorizeHttpRequests(all -> all.requestMatchers("/", "/login").permitAll().anyRequest().authenticated())
        .oauth2Login(login -> login.loginPage("/login").defaultSuccessUrl("/", true))
        .exceptionHandling(errors -> errors.authenticationEntryPoint(new HttpStatusEntryPoint(HttpStatus.UNAUTHORIZED)))
        // A link, so that this example needs no page with a form. Yours has one, with a CSRF token.
        .logout(out -> out.logoutRequestMatcher(PathPatternRequestMatcher.withDefaults().matcher("/logout")).logoutSuccessHandler(logout))
        .build();
  }

  @GetMapping("/")
  Map<String, String> home(@AuthenticationPrincipal OidcUser me) {
    return Map.of("user", me == null ? "" : me.getSubject());
  }

  @GetMapping("/login")
  RedirectView login() {
    return new RedirectView("/oauth2/authorization/bitjang");
  }

  /** Spring Security refreshes the access token by itself, a minute ahead. */
  @GetMapping("/orders")
  ResponseEntity<String> orders(@RegisteredOAuth2AuthorizedClient("bitjang") OAuth2AuthorizedClient client) {
    var url = ordersUrl.isEmpty() ? client.getClientRegistration().getProviderDetails().getUserInfoEndpoint().getUri() : ordersUrl;
    return http.get().uri(url).headers(h -> h.setBearerAuth(client.getAccessToken().getTokenValue())).retrieve().toEntity(String.class);
  }

  @ExceptionHandler
  ResponseEntity<Map<String, String>> refused(OAuth2AuthorizationException err) {
    return ResponseEntity.status(HttpStatus.UNAUTHORIZED).body(Map.of("error", err.getError().getErrorCode()));
  }

  @ExceptionHandler
  ResponseEntity<Map<String, String>> refused(HttpClientErrorException err) {
    return ResponseEntity.status(err.getStatusCode()).body(Map.of("error", "refused"));
  }
}
